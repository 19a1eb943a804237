#!/usr/bin/env bash
# Prints a file in the form of the "Online Retail" data set, for where that is
# not at hand: always the same one, and every twentieth purchase is taken back.
#
#   scripts/made-up-retail.sh [INVOICES] [PRODUCTS]
set -euo pipefail

LC_ALL=C awk -v invoices="${1:-600}" -v products="${2:-50}" 'BEGIN {
  srand(7)
  print "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
  for (i = 0; i < invoices; i++) {
    customer = 12000 + int(rand() * invoices / 10)
    date = sprintf("2010-12-%02d %02d:%02d:00", 1 + i % 28, 8 + i % 10, i % 60)
    for (line = int(rand() * 5); 0 <= line; line--) {
      product = (i + 7 * line) % products
      quantity = 1 + int(rand() * 12)
      first = sprintf("%d,MADE UP PRODUCT %d", 20000 + product, product)
      last = sprintf("%s,%d.%02d,%d.0,United Kingdom", date, 1 + product % 10, product % 100, customer)
      printf "%d,%s,%d,%s\n", 500000 + i, first, quantity, last
      if (i % 20 == 0) printf "C%d,%s,%d,%s\n", 600000 + i, first, -quantity, last
    }
  }
}'
