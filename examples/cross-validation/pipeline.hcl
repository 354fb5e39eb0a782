# Cross-validation: every row is predicted once, by a model that has not seen it.
# Small tables have too few rows for one held-out part to tell much.
pipeline "cross-validation" {}

dataset "scans" {
  path = "data/breast_cancer.csv"
}

locals {
  folds = toset(["a", "b", "c", "d", "e"])
}

split "fold" {
  input    = dataset.scans
  parts    = { for f in local.folds : f => 1 / length(local.folds) }
  stratify = "diagnosis"
  seed     = 1
}

# What a model is trained on that is evaluated on a fold: all the others.
preprocess "without" {
  for_each = local.folds
  inputs   = { for f in local.folds : f => split.fold[f] if f != each.key }

  concatenate {
    inputs = [for f in local.folds : f if f != each.key]
  }
}

# Nothing is chosen here: the defaults of the family.
train "logistic" {
  for_each = local.folds
  data     = preprocess.without[each.key]
  target   = "diagnosis"
  positive = "malignant"
  model "logistic" {}
}

evaluate "logistic" {
  for_each = local.folds
  model    = train.logistic[each.key].model
  data     = split.fold[each.key]
  positive = "malignant"
}

output "f1" {
  description = "F1 of the malignant class, mean over the folds."
  value       = sum([for e in evaluate.logistic : e.metrics.f1]) / length(local.folds)
}

output "worst" {
  description = "F1 of the fold in which it is lowest."
  value       = min([for e in evaluate.logistic : e.metrics.f1]...)
}
