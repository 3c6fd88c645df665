"""The command line. `seawall --help` lists the commands; each lives in a module of its name.

A command is a plain function with typer annotations; `main.py` lists them. Modules here import nothing heavy at the
top, so that help is instant: what a command needs it imports when it runs.
"""
