"""What workflows, activities and the command line share. Imports neither workflows nor activities."""
