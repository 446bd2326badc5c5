"""Xcode Cloud."""

from playground.ci.xcode_cloud.server import XcodeCloud

__all__ = ["XcodeCloud"]
