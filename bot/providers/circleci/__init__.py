"""The circleci provider."""
