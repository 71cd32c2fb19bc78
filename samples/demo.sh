#!/bin/sh
# Convert every sample export into its own bundle below the folder given, then a detector and a classifier into one app;
# check what came out, and show what the app will show. `make demo` runs it with the project's command first in PATH.
set -eu
out=${1:?usage: demo.sh FOLDER}
here=$(dirname "$0")

# A shell that is sent SIGTERM ends at once and leaves its command running, so commands run in the background. There they
# would ignore Ctrl-C, so that is passed on as SIGTERM.
child=
trap 'trap "" INT TERM; test -z "$child" || kill "$child"; wait; exit 130' INT
trap 'trap "" INT TERM; test -z "$child" || kill "$child"; wait; exit 143' TERM
ei_deepstream() {
  ei-deepstream "$@" &
  child=$!
  wait "$child"
  child=
}

for export in "$here"/exports/*; do
  name=$(basename "$export" .zip)
  echo
  echo "== $name"
  case $name in
    sounds*) set -- --samples "$here/recordings" ;;
    *) set -- --images "$here/pictures/${name%%-*}" ;;
  esac
  ei_deepstream convert "$export" -o "$out/$name" "$@"
done
echo
echo "== table-app: the detector finds fruits, the classifier says of each which it is"
ei_deepstream convert --pgie "$here/exports/table-yolov5-2025.zip" --sgie "$here/exports/fruit-cpp-2022" -o "$out/table-app"
echo
echo "== what Gst-nvinfer will do with these configs"
ei_deepstream check "$out"
echo
echo "== what table-app will show"
ei_deepstream simulate "$out/table-app" "$here/pictures/table" -o "$out/simulated"
echo
echo "Look at what DeepStream will show:  $out/simulated/report.html  and  $out/simulated/drawn/"
echo "The bundles are in $out/."
tool=$(command -v ei-deepstream)
tool=${tool#"$PWD"/}
echo "next:"
echo "  $tool simulate $out/table-app PICTURES -o $out/yours"
echo "  cat $out/table-app/RUN.md"
echo "  $tool inspect YOUR-PROJECT.zip"
