"""What happens later or elsewhere: executions, their tasks, schedules; django-q2 only carries task ids to workers.

The rows here are the truth for state, progress and log. A queue entry that is lost, doubled or late does no harm:
a task is claimed by its row, kept by a lease, and put back by the sweep when its worker died.
"""
