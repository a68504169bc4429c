"""Predictions and scores; the only folder that reads the labels of val and test."""
