"""`heed demo`: a year of made-up answers, to try the results site with. Nothing of it ever reaches the desk."""
