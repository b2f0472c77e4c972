# The least that an app can be: it says hello and ends. A copy of it is a good beginning.

print("hello")
