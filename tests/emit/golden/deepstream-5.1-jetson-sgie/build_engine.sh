#!/usr/bin/env bash
# Builds fruit.onnx_b8_gpu0_fp32.engine, the engine that the configs beside this script name.
#
# Run it on the device: an engine fits only the TensorRT and the kind of GPU it was built with. Nobody has to run it:
# without the engine Gst-nvinfer builds the same one when it first starts.
#
# For DeepStream 5.1 on jetson, whose TensorRT is 7.1.3.
# A trtexec elsewhere: TRTEXEC=/path/to/trtexec ./build_engine.sh; further options of it: ./build_engine.sh --verbose
set -eu

trtexec=${TRTEXEC:-/usr/src/tensorrt/bin/trtexec}
onnx=fruit.onnx
engine=fruit.onnx_b8_gpu0_fp32.engine

fail() {
  printf 'build_engine.sh: %s\n' "$1" >&2
  exit 1
}

# Where the script was started decides what a relative TRTEXEC means; everything else happens in the script's folder.
case $trtexec in
  /*) ;;
  */*) trtexec=$PWD/$trtexec ;;
  *) trtexec=$(command -v -- "$trtexec" || printf '%s' "$trtexec") ;;
esac
if ! [ -f "$trtexec" ] || ! [ -x "$trtexec" ]; then
  fail "there is no trtexec at $trtexec; install the package libnvinfer-bin, or set TRTEXEC to its path"
fi
CDPATH='' cd -- "$(dirname -- "$0")"
[ -f "$onnx" ] || fail "$onnx is not beside this script"
[ -w . ] || fail "the folder $PWD is not writable"

# A half-written engine must never have the name that Gst-nvinfer loads.
part=.$engine.$$.part
trap 'rm -f -- "$part"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$trtexec" \
  --saveEngine="$part" \
  --onnx=fruit.onnx \
  --minShapes=x_input:1x3x64x96 \
  --optShapes=x_input:8x3x64x96 \
  --maxShapes=x_input:8x3x64x96 \
  --explicitBatch \
  --workspace=1024 \
  --buildOnly \
  "$@" \
  || fail "trtexec failed (see above); there is no new engine"
[ -s "$part" ] || fail "trtexec wrote no engine"
mv -f -- "$part" "$engine"
printf 'build_engine.sh: %s is ready\n' "$engine"
