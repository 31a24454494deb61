"""The description of a user's own images that tests write files for: one split of two known classes, one unknown."""

DESCRIPTION = """name: own
root: images
pattern: "{role}/{class}"
splits:
  only:
    known: [real, first]
    unknown: {arch: [second]}
"""
