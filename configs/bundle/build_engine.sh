#!/usr/bin/env bash
{about}#
# For DeepStream {release} on {platform}, whose TensorRT is {tensorrt}.
{note}# A trtexec elsewhere: TRTEXEC=/path/to/trtexec ./{script}; further options of it: ./{script} --verbose
set -eu

trtexec=${{TRTEXEC:-{trtexec}}}
onnx={onnx}
engine={engine}

fail() {{
  printf '{script}: %s\n' "$1" >&2
  exit 1
}}

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

# A half-written engine must never have the name {whose}.
part=.$engine.$$.part
trap 'rm -f -- "$part"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

"$trtexec" \
  --saveEngine="$part" \
  {arguments} \
  "$@" \
  || fail "trtexec failed (see above); there is no new engine"
[ -s "$part" ] || fail "trtexec wrote no engine"
mv -f -- "$part" "$engine"
printf '{script}: %s is ready\n' "$engine"
