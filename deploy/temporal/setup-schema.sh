#!/bin/sh
# Makes Temporal's two databases and brings their schemas up to date. The tool reads the connection from SQL_*.
set -eu

make_database() {
  name=$1
  versions=$2
  temporal-sql-tool --db "$name" create
  temporal-sql-tool --db "$name" setup-schema --version 0.0
  temporal-sql-tool --db "$name" update-schema --schema-dir "$SCHEMA_FOLDER/$versions/versioned"
}

make_database temporal temporal
make_database temporal_visibility visibility
