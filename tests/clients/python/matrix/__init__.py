"""What each client wire can do at each kind of account, found out with the providers' own SDKs.

`python -m matrix` reads the columns from SWITCHYARD_CELLS, talks to the gateway at SWITCHYARD_URL with SWITCHYARD_KEY,
scripts the providers at SWITCHYARD_EMULATOR, and writes to SWITCHYARD_RESULTS what it found. It judges nothing: that is
the work of the test that started it.
"""
