#!/usr/bin/env bash
# Builds both engines of this folder, one after the other; see the scripts it starts.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
"$here"/{} "$@"
"$here"/{} "$@"
