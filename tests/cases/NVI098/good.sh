#!/bin/sh
trtexec --onnx=m.onnx --saveEngine=m.engine --skipInference
