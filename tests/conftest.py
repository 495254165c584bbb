"""The fixtures that we give to others, for our own tests too; and what the torture tells."""

pytest_plugins = ["pytester", "seedance_async.testing", "tests.torture.summary"]
