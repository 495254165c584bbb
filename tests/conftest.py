"""The fixtures that we give to others (`seedance_async.testing`), for our own tests too."""

pytest_plugins = ["pytester", "seedance_async.testing"]
