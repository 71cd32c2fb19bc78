"""`check`: what Gst-nvinfer will do with configs, bundles and folders, before anybody deploys them."""

from convert import make_callable

make_callable(__name__)
