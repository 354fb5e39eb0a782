# Any program is a stage. This pipeline needs a shell and awk, no Python.

pipeline "scripts" {}

dataset "census" {
  path = "data/housing.csv"
}

# A program in a file: it is an input because the command names it by a path.
exec "by_ocean" {
  command = ["sh", "src/by_ocean.sh", dataset.census.path, self.outputs.table.path]
  inputs  = ["src/by_ocean.sh", "src/mean.awk"]
  outputs = { table = "reports/by_ocean.csv" }
}

# Standard output is for the log; results go to declared outputs.
exec "summary" {
  command = ["awk", "-f", "src/summary.awk", dataset.census.path]
  inputs  = ["src/summary.awk"]
  outputs = { metrics = "reports/summary.json" }
  metrics = ["reports/summary.json"]
}

exec "report" {
  command = ["sh", "src/report.sh", exec.by_ocean.outputs.table.path, exec.summary.outputs.metrics.path]
  inputs  = ["src/report.sh"]
  outputs = { report = "reports/report.md" }
  env     = { TITLE = "Housing in California, 1990" }
  timeout = "1m"
}

output "districts" { value = exec.summary.metrics.districts }
output "mean_value" { value = exec.summary.metrics.value.mean }
