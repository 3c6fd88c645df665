"""The rules of the fold in plain Python, a file for each, each class built on the one before.

`State` what there is · `Gate` margin · `Controls` what an order must pass before it · `Matching` the book ·
`Conditional` stops and timers · `Orders` traders' commands · `Money` cash and expiry. `reference.Reference` is all.
"""
