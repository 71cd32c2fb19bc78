#!/bin/sh
# Convert every sample export into its own bundle below the folder given, and check what came out.
# `make demo` runs it with the project's command first in PATH.
set -eu
out=${1:?usage: demo.sh FOLDER}
here=$(dirname "$0")
for export in "$here"/exports/*; do
  name=$(basename "$export" .zip)
  echo
  echo "== $name"
  ei-deepstream convert "$export" -o "$out/$name" --images "$here/pictures/${name%%-*}"
done
echo
echo "== what Gst-nvinfer will do with these configs"
ei-deepstream check "$out" --target deepstream-7.1 --platform jetson
echo
echo "The bundles are in $out/. Look at one:  ls $out/*  and  cat $out/*/config_infer_primary_*.txt"
