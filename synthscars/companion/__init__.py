"""The service beside Label Studio: guard, images, dashboard."""
