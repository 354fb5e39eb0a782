# From measurements of cell nuclei to a deployed model that tells malignant from
# benign tumours. `flow plan` says what would run, `flow apply` runs it.

pipeline "breast-cancer" {
  required_version = ">= 0.1"
}

variable "learning_rate" {
  description = "Step size of the optimizer."
  type        = number
  default     = 0.003

  validation {
    condition     = var.learning_rate > 0
    error_message = "The learning rate must be positive."
  }
}

# Retrieval: a file of the project, versioned by content.
dataset "scans" {
  path = "data/breast_cancer.csv"
}

# Preprocessing: steps in order, row by row.
preprocess "clean" {
  input = dataset.scans

  drop_missing {}
  derive "area_per_radius" {
    value = row.mean_area / row.mean_radius
  }
}

# Splitting: every row in exactly one part, the same share of tumours in each.
split "holdout" {
  input    = preprocess.clean
  parts    = { train = 0.6, validation = 0.2, test = 0.2 }
  stratify = "diagnosis"
  seed     = 7
}

# Experiments and training: one stage for each candidate, cached on its own.
train "candidate" {
  for_each = {
    linear = []
    small  = [16]
    wide   = [64, 32]
  }

  data       = split.holdout.train
  validation = split.holdout.validation
  target     = "diagnosis"
  positive   = "malignant"

  features {
    numeric "*" {
      impute = "median"
      scale  = "standard"
    }
  }

  model "mlp" {
    hidden = each.value
  }

  optimizer "adam" {
    learning_rate = var.learning_rate
    weight_decay  = 0.001
  }

  # The loss is a better guide from epoch to epoch than F1, which moves in
  # jumps on a hundred rows.
  early_stopping {
    metric   = "loss"
    patience = 15
  }

  class_weights = "balanced"
  epochs        = 200
  seed          = 7
}

# Choosing: by a metric on data that training has not seen.
select "best" {
  candidates = train.candidate
  metric     = "validation.log_loss"
}

# Evaluation: on data that neither training nor choosing has seen.
evaluate "final" {
  model    = select.best.model
  data     = split.holdout.test
  positive = "malignant"
}

# Deployment: only if the evaluation says so; atomic, and `flow rollback
# deploy.local` undoes it.
deploy "local" {
  model = select.best.model
  when  = evaluate.final.metrics.f1 >= 0.95

  directory {
    path = "serving/breast-cancer"
  }
}

output "chosen" {
  description = "The candidate that was chosen."
  value       = select.best.metrics.winner
}

output "f1" {
  description = "F1 of the malignant class on the held-out part."
  value       = evaluate.final.metrics.f1
}

output "recall" {
  description = "Share of the malignant tumours that were found."
  value       = evaluate.final.metrics.recall
}
