# A pipeline: all *.hcl files of this directory together, in any order.
# Each block is a stage. Its type says what it does, its label is its name, and
# other blocks refer to it as TYPE.NAME. What a stage refers to runs before it.
#
#   flow plan      what would run, and why
#   flow apply     run it; what is up to date is kept
#   flow explain   what the stage types are, and what each takes

pipeline "example" {
  required_version = ">= 0.1"
}

# Set it with --var rows=500, a *.auto.hclvars file or FLOW_VAR_rows. A stage
# runs again only if something that it uses has changed.
variable "rows" {
  description = "How many measurements to make up"
  type        = number
  default     = 100

  validation {
    condition     = var.rows > 0
    error_message = "At least one row is needed."
  }
}

# Your own data is a stage too: it is hashed, watched and kept.
#
# dataset "measurements" {
#   path = "data/measurements.csv"
# }

# exec runs any program: Python, R, a shell script, or as here, awk. It runs in
# a directory that holds its inputs and nothing else, and must write its outputs.
exec "measurements" {
  command = ["awk", "-v", "rows=${var.rows}", local.measure]
  outputs = { table = "out/measurements.csv" }
}

# A stage that is named in the command is an input by that.
exec "fit" {
  command = ["awk", "-F", ",", local.fit, exec.measurements.table.path]
  outputs = { report = "out/fit.json" }

  # Metrics are values that other blocks can use: exec.fit.metrics.slope.
  metrics = ["out/fit.json"]
}

# Your programs would be files of the project, named in inputs; these two are
# short enough to stand here.
locals {
  measure = <<-AWK
    BEGIN {
      srand(1)
      print "x,y" > "out/measurements.csv"
      for (i = 1; i <= rows; i++) print i "," 3 * i + 7 + rand() > "out/measurements.csv"
    }
  AWK

  fit = <<-AWK
    FNR > 1 { n++; x += $1; y += $2; xx += $1 * $1; xy += $1 * $2 }
    END {
      slope = (n * xy - x * y) / (n * xx - x * x)
      printf "{\"rows\": %d, \"slope\": %.4f}\n", n, slope > "out/fit.json"
    }
  AWK
}

# Outputs are shown after an apply, and by flow output.
output "slope" {
  description = "Slope of the fitted line; 3 was put in"
  value       = exec.fit.metrics.slope
}
