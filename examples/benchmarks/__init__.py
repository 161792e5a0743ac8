"""The benchmark: what each library is asked to do, one module a library, and the command that runs them side by side."""
