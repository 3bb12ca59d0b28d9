"""Fuzzing that stays: what reads files of users is fed with what nobody would write, guided by what it covers.

    python -m fuzz expression --minutes 10
    python -m fuzz --minutes 60            # all of them, in turns
    python -m fuzz expression FILE…        # what a file of an earlier run does

A harness is a function of bytes that may raise nothing. `corpus/` keeps inputs that once found a fault; the tests run
every harness over them, and runs start from them. What a run finds interesting stays in `build/fuzz`.
"""
