"""What a model's last layer means to Gst-nvinfer: one module a kind of head."""
