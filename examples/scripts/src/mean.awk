BEGIN { FS = "," }
NR > 1 { sum[$10] += $9; n[$10]++ }
END { for (k in n) printf "%s,%d,%.0f\n", k, n[k], sum[k] / n[k] }
