"""Waiting for what a page does by itself."""

from __future__ import annotations

from playwright.sync_api import Page


def until_true(page: Page, script: str) -> None:
    """Ask again and again from here: the pages forbid ``eval``, with which the browser would ask itself a second time."""
    for _ in range(100):
        if page.evaluate(script):
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"never came true: {script}")
