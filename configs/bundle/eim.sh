#!/bin/sh
# An Edge Impulse model converted by ei-deepstream, which answers as an .eim. Behind these lines: a zip of the bundle
{%- if not standalone %}.
{% else %} and of
# the program, which needs Python 3.11 or later with numpy and onnxruntime.
{% endif %}
if [ $# -eq 0 ]; then
  echo {{ no_parameter }}
  exit 1
fi
python={{ interpreter }}
{% if standalone %}
if command -v "$python" >/dev/null 2>&1; then
  exec "$python" -c {{ program }} "$0" "$1"{{ last }}
fi
echo "ERR: this model needs Python 3.11 or later; there is no $python"
{% else %}
if [ -x "$python" ]; then
  exec "$python" -P -m convert.eim "$0" "$1"{{ last }}
fi
if command -v ei-deepstream >/dev/null 2>&1; then
  case $1 in
    --print-info) exec ei-deepstream eim serve{{ option }} --print-info "$0" ;;
    *) exec ei-deepstream eim serve{{ option }} -- "$0" "$1" ;;
  esac
fi
echo "ERR: this model needs ei-deepstream: install its wheel here, or pack the bundle with --standalone"
{% endif %}
exit 127
