"""`check`: what Gst-nvinfer will do with configs, bundles and folders, before they are deployed."""

from convert import make_callable

make_callable(__name__)
