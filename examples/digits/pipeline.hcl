# Handwritten digits as images of 8×8 pixels, told apart by a convolutional
# network: no Python, and the same bits on every machine.
pipeline "digits" {}

dataset "digits" {
  path = "data/digits.csv.gz"
}

split "holdout" {
  input    = dataset.digits
  parts    = { train = 0.7, validation = 0.1, test = 0.2 }
  stratify = "digit"
  seed     = 1
}

train "cnn" {
  data       = split.holdout.train
  validation = split.holdout.validation
  target     = "digit"

  features {
    # One scale for all pixels: a stroke means the same wherever it is.
    numeric "pixel_*" { scale = "joint" }
  }
  model "cnn" {
    filters    = [24, 48]
    batch_norm = true
    dropout    = 0.3
  }
  optimizer "adam" { learning_rate = 0.003 }
  schedule "cosine" { warmup = 1 }
  epochs = 30
  seed   = 1
}

evaluate "final" {
  model = train.cnn.model
  data  = split.holdout.test
}

output "accuracy" {
  value = evaluate.final.metrics.accuracy
}
