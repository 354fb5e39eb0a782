# A stage type of one's own: plugins/grid brings the block grid.

pipeline "plugin" {
  plugin "grid" {
    version = "~> 1.0"
  }
}

dataset "census" {
  path = "data/housing.csv"
}

preprocess "inland" {
  input = dataset.census

  filter {
    where = row.ocean_proximity == "INLAND"
  }
}

grid "all" {
  input = dataset.census
  value = "median_house_value"
  size  = 0.5
}

grid "inland" {
  input = preprocess.inland
  value = "median_house_value"
}

# Flow's own stages go on with what the plugin wrote.
preprocess "dear" {
  input = grid.all

  filter {
    where = row.places >= 5 && row.mean > 300000
  }
}

output "cells" { value = grid.all.metrics.cells }
output "fullest_cell" { value = grid.all.metrics.most }
output "cells_inland" { value = grid.inland.metrics.cells }
output "dear_cells" { value = preprocess.dear.metrics.rows }
