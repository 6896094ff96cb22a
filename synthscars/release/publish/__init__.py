"""Puts finished releases where others get them, and gets them from there.

`contents` says what a release consists of, `whole` that nothing is missing, `targets` what a TARGET means.
`hub` speaks to the Hugging Face Hub, `send_hub` publishes to it, `places` to folders and buckets;
`fetch` gets a release from them.
"""

from synthscars.release.publish.contents import FileOf, Listing
from synthscars.release.publish.fetch import GetReport, get_release, published_versions
from synthscars.release.publish.send import Moment, Plan, PublishReport, publish_release
from synthscars.release.publish.sources import PublishedVersion
from synthscars.release.publish.targets import Target, parse_target
from synthscars.release.publish.whole import Whole, read_whole

__all__ = [
    "FileOf",
    "GetReport",
    "Listing",
    "Moment",
    "Plan",
    "PublishReport",
    "PublishedVersion",
    "Target",
    "Whole",
    "get_release",
    "parse_target",
    "publish_release",
    "published_versions",
    "read_whole",
]
