#!/bin/sh
# builds the engine
trtexec --onnx=m.onnx --saveEngine=m.engine --explicitBatch \
  --workspace=1024
