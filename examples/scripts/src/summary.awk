BEGIN { FS = "," }
NR > 1 { n++; sum += $9; if ($5 == "") missing++ }
END {
  printf "{\"districts\": %d, \"missing_bedrooms\": %d, \"value\": {\"mean\": %.2f}}\n", n, missing, sum / n > "reports/summary.json"
  print "read " n " districts"
}
