"""Counterparty credit: what is lost if whoever owes us fails.

sa_ccr.py        exposure at default by the Basel standardised approach
exposure.py      expected and potential future exposure by simulation: netting, collateral, wrong-way risk
default_fund.py  a default fund that outlasts the two largest members' defaults
simm.py          initial margin by the aggregation of the ISDA SIMM; simm_parameters.py reads the numbers, the user's

Import the modules themselves: each is used by itself, and none is needed to run a venue.
"""
