# Regression: median house values from the 1990 census of California, with a
# categorical column and missing values.

pipeline "housing" {}

dataset "census" {
  path = "data/housing.csv"
}

preprocess "features" {
  input = dataset.census

  derive "rooms_per_household" {
    value = row.total_rooms / row.households
  }
  derive "people_per_household" {
    value = row.population / row.households
  }
  # In units of 100,000 dollars, so that errors are readable.
  derive "value" {
    value = row.median_house_value / 100000
  }
  drop {
    columns = ["median_house_value"]
  }
}

split "holdout" {
  input = preprocess.features
  parts = { train = 0.7, validation = 0.1, test = 0.2 }
  seed  = 1990
}

# Three families. What the first two do to the columns, trees do not need: they take
# missing values as they are, and no scale changes them.
train "linear" {
  data       = split.holdout.train
  validation = split.holdout.validation
  target     = "value"
  model "linear" {}
}

train "mlp" {
  data       = split.holdout.train
  validation = split.holdout.validation
  target     = "value"

  features {
    numeric "*" {
      impute = "median" # 207 districts lack total_bedrooms
      scale  = "standard"
    }
    categorical "ocean_proximity" {}
  }

  model "mlp" { hidden = [64, 32] }
  optimizer "adam" {
    learning_rate = 0.003
  }
  early_stopping {
    metric   = "rmse"
    patience = 10
  }
  batch_size = 128
  epochs     = 60
  seed       = 1990
}

train "trees" {
  data       = split.holdout.train
  validation = split.holdout.validation
  target     = "value"
  model "gbdt" {}
}

select "best" {
  candidates = [train.linear, train.mlp, train.trees]
  metric     = "validation.rmse"
}

evaluate "final" {
  model = select.best.model
  data  = split.holdout.test
}

output "chosen" { value = select.best.metrics.winner }
output "r2" { value = evaluate.final.metrics.r2 }
output "mae" { value = evaluate.final.metrics.mae }
output "rmse" { value = evaluate.final.metrics.rmse }
output "nrmse" { value = evaluate.final.metrics.nrmse }
