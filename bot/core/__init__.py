"""The models, errors and clock that every other package builds on. Imports nothing of ours."""
