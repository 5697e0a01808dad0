"""How fast training, metrics and start-up are beside what people use otherwise.

`python -m benchmarks.speed all` measures everything on an idle machine and writes
`benchmarks/results/*.json`; `python -m benchmarks.speed report` makes tables and a picture of them.
"""
