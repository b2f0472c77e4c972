# What an app can ask the system for: `import nexus`. Names only; what they do, and what app.toml has to name for it, is in calls.py.

import calls

Error = calls.Error
Denied = calls.Denied
NotFound = calls.NotFound
Exists = calls.Exists
TooLarge = calls.TooLarge
RateLimited = calls.RateLimited
Unavailable = calls.Unavailable

entropy = calls.entropy
make_key = calls.make_key
public_key = calls.public_key
sign = calls.sign
put = calls.put
get = calls.get
delete = calls.delete
log = calls.log
time = calls.time
