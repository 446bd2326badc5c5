"""The xcode_cloud provider."""
