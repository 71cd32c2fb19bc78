"""`check`: what Gst-nvinfer will do with configs, bundles and folders, before anybody deploys them."""
