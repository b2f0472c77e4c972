# sample: say here what it is for. It runs from the first line to the last one; `import nexus` gives it what app.toml asks for.

print("hello, this is sample")
