"""Plays the daemon against one real pillar or terminal and says, point by point of profile A, what it
does.
"""
