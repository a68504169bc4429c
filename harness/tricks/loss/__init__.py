"""Tricks that wrap or replace the loss: ``Loss -> Loss``."""
